"""What a credential looks like: names, forms, tokens; and text without them."""
