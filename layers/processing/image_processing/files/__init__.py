"""What a JPEG or PNG file consists of. Reads the structure of a file without decoding its pixels."""
