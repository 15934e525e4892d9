"""The book: chapters run again, the quiz, the glossary, the data card, and the pages of mdBook."""
