"""One file per published HTTP contract: each turns a request into canonical rows and outputs into an answer."""
