use super::*;

const APART: Carriage = Carriage { tree: Placement::Apart, message: Placement::Apart };

#[test]
fn the_tree_is_tried_first_where_it_may_fit() {
    assert_eq!(Carriage::default().attempts(2, false), [true, false]);
    assert_eq!(Carriage::default().attempts(5000, false), [false]);
    assert_eq!(Carriage::INSIDE.attempts(5000, false), [true]);
    assert_eq!(APART.attempts(2, false), [false]);
    assert_eq!(APART.attempts(1, true), [true]);
}

#[test]
fn the_commit_goes_apart_only_where_it_may_and_must() {
    let too_large = |size, limit| Err(CallerFault::CommitTooLarge { size, limit });
    let most = MAX_INSIDE_LEN;
    for (carriage, message, group_info, last, expected) in [
        (Carriage::default(), most - 10, 10, false, Ok(false)),
        (Carriage::default(), most - 10, 11, true, too_large(most + 1, most)),
        (Carriage::WHERE_IT_FITS, most - 10, 10, true, Ok(false)),
        (Carriage::WHERE_IT_FITS, most, 1, false, too_large(most + 1, most)),
        (Carriage::WHERE_IT_FITS, most, 1, true, Ok(true)),
        (Carriage::WHERE_IT_FITS, 1, most + 1, true, too_large(most + 1, most)),
        (Carriage::WHERE_IT_FITS, MAX_COMMIT_LEN, 1, true, Ok(true)),
        (Carriage::WHERE_IT_FITS, MAX_COMMIT_LEN + 1, 1, true, too_large(MAX_COMMIT_LEN + 1, MAX_COMMIT_LEN)),
        (APART, 1, 1, false, Ok(true)),
    ] {
        assert_eq!(carriage.place(message, group_info, last), expected, "{message} {group_info} {last}");
    }
}
