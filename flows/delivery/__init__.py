"""At-least-once delivery of an upload and an invocation: submit, poll, back off, download."""
