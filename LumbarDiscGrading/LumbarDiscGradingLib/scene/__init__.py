"""Everything that touches the MRML scene: volumes in, coloured segments, table and views out."""
