//! The history of migrations, set right from the command line.

use crate::agent::migrating;

#[test]
fn a_file_that_was_edited_is_accepted_by_its_version_alone() {
    let agent = migrating("repair");
    agent.write("sql/V0001__one.sql", "create table one (id int);\n");
    agent.write("sql/V0002__two.sql", "create table two (id int);\n");
    assert_eq!(agent.run(&["run"]).code, 0);
    agent.write(
        "sql/V0001__one.sql",
        "create table one (id int); -- the first\n",
    );
    let plan = agent.run(&["plan"]);
    assert_eq!(plan.code, 65, "{plan}");
    let nothing = agent.run(&["repair"]);
    assert_eq!(nothing.code, 78, "{nothing}");
    assert!(
        nothing
            .stderr
            .contains("no migration is named that is to be set right"),
        "{nothing}"
    );
    let nowhere = agent.run(&["repair", "--version", "1", "--step", "schema/other"]);
    assert_eq!(nowhere.code, 78, "{nowhere}");
    assert!(
        nowhere.stderr.contains("say --step with one of schema/"),
        "{nowhere}"
    );
    let unknown = agent.run(&["repair", "--version", "1", "--version", "7"]);
    assert_eq!(unknown.code, 78, "{unknown}");
    assert!(
        unknown.stderr.contains("the bundle has no migration 7"),
        "{unknown}"
    );
    assert_eq!(agent.run(&["plan"]).code, 65, "all of it or nothing");
    let repaired = agent.run(&["repair", "--version", "1"]);
    assert_eq!(repaired.code, 0, "{repaired}");
    assert_eq!(
        repaired.stdout,
        "V0001__one.sql: its checksum was 35899e0fbae5 and is 804b63e86e27\n"
    );
    let again = agent.run(&["repair", "--version", "1"]);
    assert_eq!(
        again.stdout,
        "nothing is different: every checksum is the file's\n"
    );
    assert_eq!(agent.run(&["run"]).code, 0);
}
