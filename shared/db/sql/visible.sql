-- Whether the actor sees the session `s`. Its creator and admins see every one, other members those shared with the
-- tenant.
(:a_is_admin::boolean OR s.user_id = :a_user_id OR s.visibility = 'tenant')
