-- Whether the actor may change the session `s`.
(:a_is_admin::boolean OR s.user_id = :a_user_id)
