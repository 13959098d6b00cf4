"""What a million images cost on AWS, from measured times and a file of prices."""
