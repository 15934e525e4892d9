"""The book: chapters run again, quiz, glossary, what is taught where, data card, and the pages."""
