//! What a plan says of a migration: its statements, and what each locks for how long.

use crate::engine::FieldChange;

use super::statements::{self, Lock, Mode, Statement};

/// How many lines a file may take; a dump has thousands of statements.
const MOST: usize = 40;

/// The statements of a file, in their order. What equals the one before is only counted.
pub(super) fn fields(sql: &str) -> Vec<FieldChange> {
    let found = statements::split(sql);
    let mut made = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    for statement in &found {
        let line = Line::new(statement, &made);
        made.extend(makes(statement));
        match lines.last_mut() {
            Some(last) if last.is_like(&line) => last.times += 1,
            _ => lines.push(line),
        }
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    let mut fields: Vec<_> = lines.into_iter().flat_map(Line::fields).collect();
    if more > 0 {
        fields.push(field(format!("and {more} more"), None));
    }
    fields
}

struct Line {
    summary: String,
    locks: Vec<String>,
    instead: Option<&'static str>,
    times: usize,
}

impl Line {
    fn new(statement: &Statement<'_>, made: &[String]) -> Self {
        let alone = statement.stands_alone().is_some();
        let locks = statement.locks();
        let others = locks.iter().filter(|lock| !made.contains(&key(&lock.on)));
        Self {
            summary: statement.summary(),
            locks: others.clone().map(|lock| said(lock, alone)).collect(),
            instead: others.clone().find_map(|lock| lock.instead),
            times: 1,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.summary == other.summary && self.locks == other.locks
    }

    fn fields(self) -> impl Iterator<Item = FieldChange> {
        let times = match self.times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        let locks = (!self.locks.is_empty()).then(|| self.locks.join("; "));
        let instead = self.instead.map(|instead| {
            let path = "  keeps fewer waiting".to_owned();
            field(path, Some(instead.to_owned()))
        });
        [Some(field(self.summary + &times, locks)), instead]
            .into_iter()
            .flatten()
    }
}

fn field(path: String, after: Option<String>) -> FieldChange {
    FieldChange {
        path,
        before: None,
        after,
        sensitive: false,
    }
}

fn said(lock: &Lock, alone: bool) -> String {
    let until = if alone { "it ends" } else { "COMMIT" };
    let (mode, on) = (lock.mode.name(), &lock.on);
    let mut said = format!("locks {on} ({mode}) until {until}");
    // Writers do not notice the others.
    if lock.mode > Mode::ShareUpdateExclusive {
        said.push_str(": its ");
        said.push_str(lock.mode.blocks());
        said.push_str(" wait");
    }
    if let Some(work) = lock.work {
        said.push_str(", and it ");
        said.push_str(work.does());
    }
    said
}

/// What nobody else can see before the file's COMMIT.
fn makes(statement: &Statement<'_>) -> Option<String> {
    let head = statement.head();
    let kinds = [
        "TABLE",
        "VIEW",
        "MATERIALIZED VIEW",
        "SEQUENCE",
        "FOREIGN TABLE",
    ];
    let is_new = head.verb == "CREATE"
        && kinds.contains(&head.object.as_str())
        && statement.stands_alone().is_none();
    head.name.filter(|_| is_new).map(|name| key(&name))
}

/// One spelling for one name.
fn key(name: &str) -> String {
    if name.contains('"') {
        name.to_owned()
    } else {
        name.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    fn shown(sql: &str) -> String {
        let line = |field: crate::engine::FieldChange| match field.after {
            Some(after) => format!("{}: {after}", field.path),
            None => field.path,
        };
        let lines: Vec<_> = fields(sql).into_iter().map(line).collect();
        lines.join("\n")
    }

    #[test]
    fn a_file_is_shown_with_its_locks() {
        let sql = "CREATE TABLE racks (id int PRIMARY KEY, site int REFERENCES sites);
                   CREATE INDEX ON racks (site);
                   INSERT INTO racks VALUES (1); INSERT INTO racks VALUES (2);
                   ALTER TABLE nodes ADD COLUMN rack int, ADD FOREIGN KEY (rack) REFERENCES racks;
                   CREATE INDEX nodes_rack ON nodes (rack);
                   UPDATE nodes SET rack = 1;
                   ALTER TABLE nodes ALTER COLUMN rack SET NOT NULL;
                   SELECT 1;";
        insta::assert_snapshot!(shown(sql), @r"
        CREATE TABLE racks: locks sites (SHARE ROW EXCLUSIVE) until COMMIT: its writes wait
        CREATE INDEX
        INSERT racks (2 times)
        ALTER TABLE nodes: locks nodes (ACCESS EXCLUSIVE) until COMMIT: its reads and writes wait, and it reads all rows
          keeps fewer waiting: ADD … NOT VALID, and VALIDATE CONSTRAINT in a later migration
        CREATE INDEX nodes_rack: locks nodes (SHARE) until COMMIT: its writes wait, and it makes an index over all rows
          keeps fewer waiting: CREATE INDEX CONCURRENTLY, alone in a file with `-- firstlight: transaction=none`
        UPDATE nodes: locks nodes (ROW EXCLUSIVE) until COMMIT
        ALTER TABLE nodes: locks nodes (ACCESS EXCLUSIVE) until COMMIT: its reads and writes wait, and it reads all rows
          keeps fewer waiting: ADD CHECK (… IS NOT NULL) NOT VALID, VALIDATE it in a later migration, and then SET NOT NULL reads no row
        SELECT
        ");
        let alone = "CREATE INDEX CONCURRENTLY i ON nodes (id)";
        insta::assert_snapshot!(shown(alone), @"CREATE INDEX i: locks nodes (SHARE UPDATE EXCLUSIVE) until it ends, and it makes an index over all rows");
    }

    #[test]
    fn a_long_file_is_cut() {
        let sql: Vec<_> = (0..100).map(|n| format!("CREATE TABLE t{n} ()")).collect();
        let sql = sql.join(";");
        assert!(shown(&sql).ends_with("\nand 60 more"), "{}", shown(&sql));
        let sql = "INSERT INTO t VALUES (1);".repeat(100);
        assert!(shown(&sql).starts_with("INSERT t (100 times): "));
    }
}
