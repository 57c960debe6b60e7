-- Who may invite a local user, as JSON. Who is not here may be invited by anybody.
CREATE TABLE invite_permissions (
    user_id     TEXT PRIMARY KEY,
    permissions BLOB NOT NULL
) STRICT;
