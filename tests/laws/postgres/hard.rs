//! SQL that is hard to take apart: each file with the number of its statements. All of them run,
//! one after the other, in one database.

/// One file.
pub(super) struct Hard {
    pub(super) name: &'static str,
    pub(super) statements: usize,
    pub(super) sql: &'static str,
}

const fn hard(name: &'static str, statements: usize, sql: &'static str) -> Hard {
    Hard {
        name,
        statements,
        sql,
    }
}

/// What the server takes.
pub(super) const FILES: [Hard; 62] = [
    hard(
        "plain",
        3,
        "CREATE TABLE t (id int, name text);\nINSERT INTO t VALUES (1, 'a');\nSELECT 1;\n",
    ),
    hard("no_last_semicolon", 2, "SELECT 1; SELECT 2"),
    hard(
        "empty_statements",
        2,
        ";;; SELECT 1;; ; /* nothing */ ;\n-- nothing\n; SELECT 2;;",
    ),
    hard("comments_only", 0, "-- one\n/* two; */\n-- three;"),
    hard("nothing", 0, ""),
    hard("blanks_only", 0, " \t\n\r\n\u{c} "),
    hard("byte_order_mark", 2, "\u{feff}SELECT 1;\nSELECT 2;"),
    hard(
        "crlf",
        2,
        "SELECT 'a',\r\n-- a comment;\r\n2;\r\nSELECT 3;\r\n",
    ),
    hard("old_mac", 2, "SELECT 1 -- ;\r+ 1;\rSELECT 2;\r"),
    hard(
        "doubled_quotes",
        2,
        "SELECT 'it''s; ''quoted''';\nSELECT '''', ';';",
    ),
    hard(
        "backslash_in_a_plain_string",
        2,
        r"SELECT 'C:\'; SELECT '\\;';",
    ),
    hard("escape_string", 2, r"SELECT E'it\'s; \\'; SELECT e'\';\'';"),
    hard(
        "escape_string_with_all",
        1,
        r"SELECT E'\b\f\n\r\t\\\'''\x41\101\u0041\U00000041;';",
    ),
    hard(
        "escape_string_ends_in_backslashes",
        2,
        r"SELECT E'\\\\'; SELECT E'a\\''b';",
    ),
    hard(
        "continued_string",
        2,
        "SELECT 'a'\n  ';b';\nSELECT 'a'\n\n\n';'\n';';",
    ),
    hard(
        "continued_escape_string",
        2,
        "SELECT E'a'\n'b\\';' ; SELECT 1;",
    ),
    hard(
        "continued_behind_a_comment",
        2,
        "SELECT E'a' -- it's; here\n  -- and 'here'\n  '\\';' ; SELECT 1;",
    ),
    hard(
        "continued_by_carriage_return",
        2,
        "SELECT E'a'\r'b\\';' ; SELECT 1;",
    ),
    hard(
        "continued_thrice",
        2,
        "SELECT E'a'\n'\\''\n'\\''\n'\\';'; SELECT 2;",
    ),
    hard(
        "unicode_string",
        2,
        r"SELECT U&'d\0061t\+000061;', U&'\\', u&'d!0061;' UESCAPE '!'; SELECT 2;",
    ),
    hard(
        "unicode_name",
        2,
        "SELECT 1 AS U&\"d\\0061t;a\"; SELECT 2 AS u&\"a\"\";\" UESCAPE '!';",
    ),
    hard(
        "bit_strings",
        2,
        "SELECT b'01', B'1', x'1F', X'aB'; SELECT b'0'\n'1';",
    ),
    hard("national_string", 2, "SELECT n';', N'it''s;'; SELECT 2;"),
    hard(
        "quoted_names",
        3,
        "CREATE TABLE \"a;b\" (\"c\"\"d;\" int);\nCREATE TABLE \"--x\" (\"/*\" int);\nDROP TABLE \"a;b\";",
    ),
    hard(
        "a_quote_in_a_name",
        2,
        "SELECT 1 AS \"it's; fine\"; SELECT 2;",
    ),
    hard(
        "nested_comments",
        2,
        "/* a /* b; */ c; */ SELECT /* /* /* ; */ */ */ 1; SELECT 2;",
    ),
    hard(
        "comment_in_comment",
        2,
        "/* -- */ SELECT 1; -- /* not open\nSELECT 2;",
    ),
    hard(
        "quote_in_comment",
        2,
        "-- it's\nSELECT 1; /* it's \" $$ */ SELECT 2;",
    ),
    hard("comment_like_ends", 2, "SELECT '/*', '--'; SELECT '*/';"),
    hard(
        "stars_and_slashes",
        2,
        "SELECT 2*/* ; */3; /***/SELECT/**/1/*/ ; /**/*/;",
    ),
    hard(
        "operator_ends_at_comment",
        2,
        "SELECT 1 +-- ;\n 1; SELECT 1 -/* ; */ 1;",
    ),
    hard(
        "operators",
        3,
        "SELECT 1 <> 2, 1 != 2, -1 - -1, |/ 4.0, @ -5; SELECT 'a' ~~* 'A'; SELECT 5 # 3;",
    ),
    hard(
        "own_operator",
        3,
        "CREATE OPERATOR +* (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);\nSELECT 1 +* 2;\nDROP OPERATOR +* (int, int);",
    ),
    hard(
        "dollar_quotes",
        3,
        "SELECT $$;$$; SELECT $a$ $$ ; $b$ ; $a$; SELECT $a$it's$a$;",
    ),
    hard(
        "dollar_quotes_nested",
        1,
        "DO $outer$ BEGIN EXECUTE $inner$ SELECT $$;$$; $inner$; END; $outer$;",
    ),
    hard(
        "dollar_quotes_of_other_letters",
        2,
        "SELECT $größe$;$größe$; SELECT $_1$;$_1$;",
    ),
    hard(
        "dollar_quote_almost_closed",
        2,
        "SELECT $ab$ $a ; $ab ; $abc$ ; $ab$; SELECT 2;",
    ),
    hard(
        "dollar_in_a_name",
        3,
        "CREATE TABLE a$b$c (d$ int); SELECT d$ FROM a$b$c; DROP TABLE a$b$c;",
    ),
    hard(
        "dollar_quote_behind_a_sign",
        2,
        "SELECT 1,$$;$$; SELECT($$;$$);",
    ),
    hard(
        "dollar_quote_beside_words",
        2,
        "SELECT CASE WHEN true THEN $$;$$END; SELECT $a$;$a$b;",
    ),
    hard(
        "parameters",
        3,
        "PREPARE p (int) AS SELECT $1; EXECUTE p(1); DEALLOCATE p;",
    ),
    hard(
        "do_block",
        2,
        "DO $$\nBEGIN\n  PERFORM 1;\n  IF true THEN NULL; END IF;\nEND\n$$;\nSELECT 1;",
    ),
    hard("do_block_in_a_string", 1, "DO 'BEGIN PERFORM ''a;''; END';"),
    hard(
        "function",
        2,
        "CREATE FUNCTION f1() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2; $$;\nSELECT f1();",
    ),
    hard(
        "function_in_a_string",
        2,
        "CREATE FUNCTION f2() RETURNS text LANGUAGE sql AS 'SELECT ''a;''; SELECT ''b'';';\nSELECT f2();",
    ),
    hard(
        "function_in_an_escape_string",
        1,
        r"CREATE FUNCTION f3() RETURNS text LANGUAGE sql AS E'SELECT \';\';';",
    ),
    hard(
        "trigger_function",
        2,
        "CREATE FUNCTION f4() RETURNS trigger LANGUAGE plpgsql AS $body$\nBEGIN\n  NEW.name := 'x;' || NEW.name; -- it's\n  RETURN NEW;\nEND;\n$body$;\nCREATE TRIGGER t1 BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f4();",
    ),
    hard(
        "atomic_function",
        2,
        "CREATE FUNCTION f5(a int) RETURNS int LANGUAGE sql\nBEGIN ATOMIC\n  SELECT a + 1;\n  SELECT a + 2;\nEND;\nSELECT f5(1);",
    ),
    hard(
        "atomic_with_case",
        2,
        "CREATE OR REPLACE FUNCTION f6(a int) RETURNS text BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN CASE a WHEN 1 THEN ';' END ELSE 'b' END; SELECT 'c'; END; SELECT f6(1);",
    ),
    hard(
        "atomic_with_labels",
        2,
        "CREATE FUNCTION f7() RETURNS int BEGIN ATOMIC SELECT 1 AS end; SELECT 2 AS case; SELECT 3 end; END; SELECT f7();",
    ),
    hard(
        "atomic_procedure",
        2,
        "CREATE PROCEDURE p1(a int) BEGIN ATOMIC INSERT INTO t VALUES (a, 'b;'); DELETE FROM t WHERE id = a; END;\nCALL p1(7);",
    ),
    hard(
        "atomic_and_empty",
        2,
        "CREATE PROCEDURE p2() begin atomic end; CREATE PROCEDURE p3() BEGIN /* ; */ ATOMIC ; END;",
    ),
    hard(
        "return_function",
        2,
        "CREATE FUNCTION f8(a int) RETURNS int RETURN a + 1; SELECT f8(1);",
    ),
    hard(
        "begin_and_atomic_as_names",
        3,
        "CREATE TABLE begin (atomic int); SELECT atomic FROM begin atomic; DROP TABLE begin;",
    ),
    hard(
        "rule_with_two_actions",
        3,
        "CREATE TABLE log (a int);\nCREATE RULE r1 AS ON INSERT TO log DO ALSO (SELECT 1; SELECT ';');\nDROP RULE r1 ON log;",
    ),
    hard(
        "schema_with_elements",
        2,
        "CREATE SCHEMA s1 CREATE TABLE a (b int) CREATE VIEW v AS SELECT b FROM a; DROP SCHEMA s1 CASCADE;",
    ),
    hard(
        "view_with_case",
        1,
        "CREATE VIEW v1 AS SELECT CASE WHEN id > 0 THEN 'a;' ELSE $$b;$$ END AS x FROM t;",
    ),
    hard(
        "copy_to_a_program",
        1,
        "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; true';",
    ),
    hard(
        "arrays_and_slices",
        2,
        "SELECT (ARRAY[1,2,3])[1:2], '{\";\"}'::text[]; SELECT 1;",
    ),
    hard(
        "json_paths",
        2,
        "SELECT '{\"a;\": 1}'::jsonb -> 'a;' #>> '{}'; SELECT '{}'::jsonb ? ';';",
    ),
    hard("savepoints", 3, "SAVEPOINT a; ROLLBACK TO a; RELEASE a;"),
    hard(
        "other_scripts",
        3,
        "CREATE TABLE 節点 (größe int, \u{a0} int); SELECT größe, '節;' FROM 節点; DROP TABLE 節点;",
    ),
];

/// What is not sent: at which character, counted from 0.
pub(super) const REFUSED: [(&str, usize, &str); 11] = [
    (
        "copy_with_data",
        10,
        "SELECT 1;\nCOPY t (id) FROM STDIN;\n1\n\\.\n",
    ),
    ("copy_csv", 0, "copy t from stdin with (format csv)"),
    ("copy_to_us", 0, "COPY t TO STDOUT"),
    ("psql_connect", 10, "SELECT 1;\n\\connect lens\nSELECT 2;"),
    ("psql_include", 0, "\\i other.sql\n"),
    ("psql_gset", 14, "SELECT 1 AS a \\gset\nSELECT 2;"),
    ("null_byte", 8, "SELECT '\0'"),
    ("null_byte_in_a_comment", 4, "-- a\0\nSELECT 1"),
    (
        "other_strings",
        0,
        "SET standard_conforming_strings = off; SELECT '\\';'",
    ),
    ("commit", 18, "CREATE TABLE x ();COMMIT; SELECT 1"),
    ("prepare_transaction", 0, "PREPARE TRANSACTION 'a'"),
];
