"""What reads texts: tokenizers, and the bodies that search rankers share."""
