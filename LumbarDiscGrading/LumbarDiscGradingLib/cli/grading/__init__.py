"""What the command ``grade`` is made of: networks, the files of a result, one scan, many scans."""
