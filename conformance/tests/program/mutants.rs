//! `mimi mutants`

use super::{code, output, text};

#[cfg(not(feature = "mutants"))]
#[test]
fn without_the_feature_there_are_no_mutants() {
    let output = output(&["mutants", "--quick"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("--features mutants"), "{}", text(&output.stderr));
}

#[cfg(feature = "mutants")]
mod built {
    use serde_json::{Value, json};

    use super::{code, output, text};

    const BANNED_JOINS: &str = "5.2.3/5.2.3-banned-joins";

    #[test]
    fn a_mutant_is_caught_by_the_case_about_its_rule() {
        let case = "5.2.3/banned-user-joins";
        let output = output(&["mutants", "--only", BANNED_JOINS, "--cases", case, "--json", "-"]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(matrix["mutants"][0]["id"], BANNED_JOINS);
        assert_eq!(matrix["mutants"][0]["caught_by"], json!([case]));
        assert!(text(&output.stderr).contains("1 of 1 mutants caught"));
    }

    #[test]
    fn a_mutant_that_no_case_catches_is_a_finding() {
        let output = output(&["mutants", "--only", BANNED_JOINS, "--cases", "7/key-order"]);
        assert_eq!(code(&output), 1, "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("no case catches 5.2.3/5.2.3-banned-joins"));
    }

    #[test]
    fn the_quick_run_tries_what_is_recorded() {
        let output = output(&["mutants", "--quick", "--only", BANNED_JOINS]);
        assert_eq!(code(&output), 0, "{}", text(&output.stdout));
        assert!(text(&output.stdout).contains("1 of 1 mutants caught"));
    }

    #[test]
    fn every_case_of_a_profile_notices_what_it_has_to() {
        let output = output(&["mutants", "--profile", "ti-messenger", "--json", "-"]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = &matrix["mutants"].as_array().unwrap()[0];
        assert_eq!(row["id"], "ti-messenger/list-not-read");
        assert_eq!(row["caught_by"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn a_wrong_command_line_ends_with_2() {
        for arguments in [
            vec!["mutants", "--only", "nothing-like-it"],
            vec!["mutants", "--cases", "nothing-like-it"],
            vec!["mutants", "--quick", "--write"],
            vec!["mutants", "--profile", "nothing-like-it"],
            vec!["mutants", "--profile", "core"],
            vec!["mutants", "--jobs", "0"],
        ] {
            assert_eq!(code(&output(&arguments)), 2, "{arguments:?}");
        }
    }
}
