"""Who is asked, in which order, and what each sees. Knows the llm port and the domain; the journal is handed in."""
