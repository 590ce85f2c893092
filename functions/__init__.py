"""Lambda entry points: translate the event, call `shared`, answer. No rule of the business lives here."""
