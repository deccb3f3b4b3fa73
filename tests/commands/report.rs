//! The page of a run, made of real runs and looked at in a real browser.

use firstlight::record::RunRecord;
use firstlight::report::{Moment, Story, Work, page};
use serde_json::Value;
use testbed::{Attempt, Env, Otelcol, eventually};

use crate::agent::{Agent, Ended, WEB, ended};
use crate::browser::{Browser, Scheme};

const EVIL: &str = "<script>document.title='owned'</script><img src='http://example.com/x.png'>";

/// How long the step waits that nobody brings to its end.
const WAITED: f64 = 2.0;

/// A bundle that has everything in it: something changes, something waits in vain, something is
/// skipped for that reason, and a check is asked.
fn eventful() -> Agent {
    let phases = "  - name: first
    steps:
      - secret: { name: keys, generate: { password: 16 } }
      - apply: { path: manifests/colours.yaml }
  - name: second
    steps:
      - apply: { path: manifests/web.yaml }
        timeout: 2s
  - name: third
    steps:
      - name: rolled-out
        check: { rollout: { workload: deployment/web } }
  - name: fourth
    needs: [first]
    steps:
      - name: untouched
        check: { drift: { of: first } }
";
    let agent = Agent::new("eventful", "", phases);
    agent.write("manifests/web.yaml", WEB);
    colour(&agent, "blue");
    agent
}

fn colour(agent: &Agent, sky: &str) {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: colours }}\ndata: {{ sky: \"{sky}\" }}\n"
    );
    agent.write("manifests/colours.yaml", &text);
}

/// A run that the collector hears of.
fn traced(agent: &Agent, collector: &Otelcol) -> Ended {
    let mut command = agent.command(&["run", "-o", "json"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.otlp_http)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    ended(&mut command)
}

fn report(agent: &Agent, arguments: &[&str]) -> String {
    let made = agent.run(&[&["report"], arguments].concat());
    assert_eq!(made.code, 0, "{made}");
    made.stdout
}

/// When the collector has written the end of a trace.
async fn is_written(collector: &Otelcol, trace: &str) {
    let what = format!("the trace {trace} in {}", collector.received_file.display());
    let written = eventually(&what, std::time::Duration::from_secs(30), async || {
        let text = std::fs::read_to_string(&collector.received_file).unwrap_or_default();
        let mut lines = text.lines().filter(|line| line.contains(trace));
        if lines.any(|line| line.contains("\"RUN eventful\"")) {
            Attempt::Done(())
        } else {
            Attempt::NotYet("its root is not there".to_owned())
        }
    });
    written.await.expect("a trace");
}

/// Everything that must hold for every page.
fn assert_sound(page: &str) -> Value {
    let seen = Browser::new(Scheme::Light).look(page);
    assert_eq!(seen.console, Vec::<String>::new());
    let found = seen.found;
    for nothing in ["loaded", "violations", "faint"] {
        assert_eq!(found[nothing], Value::Array(Vec::new()), "{nothing}");
    }
    assert_eq!(found["wide"], false, "the page is wider than the window");
    assert_eq!(found["dark"], false);
    let bars = found["bars"].as_array().expect("bars");
    assert!(!bars.is_empty());
    for bar in bars {
        let (left, width) = place(bar);
        assert!(left >= -0.1 && left + width <= 100.8, "outside: {bar}");
        let patterned = bar["image"] != "none";
        let waiting = bar["class"] == "bar waiting";
        assert_eq!(patterned, waiting, "told apart by more than colour: {bar}");
    }
    found
}

fn place(bar: &Value) -> (f64, f64) {
    let number = |name: &str| bar[name].as_f64().expect("a number");
    (number("left"), number("width"))
}

/// The bars of a line, by class.
fn bars<'a>(found: &'a Value, line: &str, class: &str) -> Vec<&'a Value> {
    let all = found["bars"].as_array().expect("bars").iter();
    let class = format!("bar {class}");
    all.filter(|bar| {
        let name = bar["line"].as_str().unwrap_or_default();
        name.contains(line) && bar["class"] == class.as_str()
    })
    .collect()
}

fn assert_says(found: &Value, texts: &[&str]) {
    let text = found["text"].as_str().expect("text");
    for said in texts {
        assert!(text.contains(said), "{said:?} is not on the page: {text}");
    }
}

#[tokio::test]
async fn a_run_is_a_page_from_its_record_its_trace_and_both() {
    let collector = Env::load().and_then(|env| env.otelcol());
    let collector = collector.expect("a collector");
    let agent = eventful();
    assert_eq!(traced(&agent, &collector).code, 69);
    colour(&agent, EVIL);
    let run = traced(&agent, &collector);
    assert_eq!(run.code, 69, "{run}");
    let record: RunRecord = serde_json::from_str(&run.stdout).expect("a record");
    let trace = record.trace_id.clone().expect("a trace");
    is_written(&collector, &trace).await;
    let offset = |id: &str| {
        let step = record.steps.iter().find(|step| step.id == id);
        step.and_then(|step| step.offset)
    };
    assert!(offset("second/web") > offset("first/colours"));
    assert_eq!(offset("third/rolled-out"), None, "it was skipped");

    let stored = report(&agent, &[]);
    let found = assert_sound(&stored);
    assert_eq!(found["title"], "eventful: failed");
    assert_says(
        &found,
        &[
            &record.sentence,
            &trace,
            "What failed",
            "its controller has not seen the latest change yet",
            "data.sky",
            EVIL,
            "needs second/web, which failed",
            "fourth/untouched",
            "Slowest steps",
            "the run record of eventful",
        ],
    );
    let waits = bars(&found, "web", "waiting");
    let expected = WAITED / record.seconds * 100.0;
    let (_, width) = place(waits[0]);
    assert!(
        (width - expected).abs() < 15.0,
        "waited {expected:.1} % of the run, drawn as {width:.1} %"
    );
    assert!(!bars(&found, "web", "broken").is_empty());

    agent.write("run.json", &run.stdout);
    let record_file = agent.path("run.json");
    let telemetry = collector.received_file.display().to_string();
    let both = report(&agent, &[&record_file, &telemetry]);
    let found = assert_sound(&both);
    assert_says(&found, &["data.sky", "Made from the trace in"]);
    assert!(
        !bars(&found, "attempt", "working").is_empty(),
        "looks are shown"
    );
    let one = report(&agent, &["--trace", &trace, &telemetry]);
    assert!(!one.contains("no reason is on record"), "{one}");
    let found = assert_sound(&one);
    assert_eq!(found["title"], "eventful: failed");
    assert_says(
        &found,
        &[
            "its controller has not seen the latest change yet",
            "update ConfigMap",
            "second/web failed",
        ],
    );
}

#[test]
fn a_plan_is_a_page_too() {
    let agent = eventful();
    agent.run(&["run"]);
    colour(&agent, "green");
    let plan = agent.run(&["plan", "-o", "json"]);
    assert_eq!(plan.code, 0, "{plan}");
    agent.write("plan.json", &plan.stdout);
    let page = report(&agent, &[&agent.path("plan.json")]);
    let told = ["What would change", "data.sky", "green"];
    assert_says(&assert_sound(&page), &told);
}

#[test]
fn what_a_page_may_not_do_would_be_seen() {
    let faint = "<p style=\"color:#eee\">faint</p>";
    let loud = "<script>console.error('loud')</script>";
    let page = format!(
        "<!DOCTYPE html><html><head><title>t</title></head><body>{EVIL}{faint}{loud}</body></html>"
    );
    let seen = Browser::new(Scheme::Dark).look(&page);
    assert_eq!(seen.found["title"], "owned");
    assert_eq!(seen.found["dark"], true);
    assert_eq!(seen.found["loaded"][0], "http://example.com/x.png");
    assert_eq!(seen.found["faint"].as_array().map(Vec::len), Some(1));
    assert!(seen.console.iter().any(|line| line.contains("loud")));
}

const RECORD: &str = r#"{"run":"r","bundle":"lens","profile":null,"namespace":"lens","agent":"0","mode":"run","traceId":null,
        "started":"2026-11-21T13:51:43Z","seconds":10,"exit":0,"sentence":"lens is current",
        "phases":[{"name":"first","outcome":"unchanged","offset":0,"seconds":10,"steps":1,"changed":0}],
        "steps":[{"id":"first/a","kind":"k","outcome":"unchanged","offset":0,"seconds":10,"waited":5,"attempts":50}]}"#;

/// A page with much in it that is folded away at first.
fn folded() -> String {
    let record: RunRecord = serde_json::from_str(RECORD).expect("a record");
    let mut story = Story::of(record, "a test");
    let look = |at: u32| Moment {
        name: "attempt".to_owned(),
        work: if at % 2 == 1 {
            Work::Wait
        } else {
            Work::Attempt
        },
        begin: f64::from(at) / 6.0,
        end: f64::from(at + 1) / 6.0,
        said: Some("something else".to_owned()),
        failed: false,
        inside: Vec::new(),
    };
    let looks = (0..60).map(look).collect();
    story.moments.insert("first/a".to_owned(), looks);
    page(&story).expect("a page")
}

/// How many sheets of paper.
fn sheets(pdf: &[u8]) -> usize {
    assert!(pdf.starts_with(b"%PDF"));
    let text = String::from_utf8_lossy(pdf);
    text.matches("/Type /Page\n").count()
}

#[test]
fn a_page_is_light_dark_and_printed_with_everything_unfolded() {
    let page = folded();
    let light = Browser::new(Scheme::Light);
    let dark = Browser::new(Scheme::Dark);
    let seen = dark.look(&page);
    assert_eq!(seen.found["dark"], true);
    assert_eq!(seen.found["faint"], Value::Array(Vec::new()));
    assert_ne!(light.picture(&page), dark.picture(&page));
    let printed = sheets(&light.print(&page));
    let unfolded = sheets(&light.print(&page.replace("<details>", "<details open>")));
    assert_eq!(printed, unfolded);
    assert!(printed > 1, "{printed} sheets");
}

#[test]
fn a_page_goes_to_a_file_and_comes_from_the_standard_input() {
    let agent = eventful();
    agent.write("run.json", RECORD);
    let page = report(&agent, &[&agent.path("run.json")]);
    assert!(page.contains("the run record run.json"), "{page}");
    let (source, target) = (agent.path("run.json"), agent.path("page.html"));
    assert_eq!(report(&agent, &[&source, "--to", &target]), "");
    assert_eq!(agent.read("page.html"), page);
    let mut command = agent.command(&["report", "-"]);
    let input = std::fs::File::open(&source).expect("the record");
    let piped = ended(command.stdin(input));
    assert_eq!(piped.code, 0, "{piped}");
    let expected = page.replace("run record run.json", "run record from the standard input");
    assert_eq!(piped.stdout, expected);
    let nowhere = agent.run(&["report", &source, "--to", "/nowhere/page.html"]);
    assert_ne!(nowhere.code, 0, "{nowhere}");
    assert!(nowhere.stderr.contains("/nowhere/page.html"), "{nowhere}");
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let agent = eventful();
    agent.write("other.json", "{\"a\": 1}");
    let other = agent.run(&["report", &agent.path("other.json")]);
    assert_eq!(other.code, 78, "{other}");
    let said = "other.json is neither the record of a run nor OTLP/JSON: missing field `run`";
    assert!(other.stderr.contains(said), "{other}");
    agent.write("none.jsonl", "{\"resourceSpans\":[]}\n");
    let none = agent.run(&["report", &agent.path("none.jsonl")]);
    assert_eq!(none.code, 78, "{none}");
    assert!(none.stderr.contains("no run is in "), "{none}");
    let nothing = agent.run(&["report"]);
    assert_eq!(nothing.code, 69, "{nothing}");
}
