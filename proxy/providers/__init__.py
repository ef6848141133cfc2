"""PURE: one upstream per file: where it is, how it is asked, which dialect stands on which path, what its errors mean."""
