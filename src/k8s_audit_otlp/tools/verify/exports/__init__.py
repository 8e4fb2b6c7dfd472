"""Reads what back ends give out: files of any form become records, and uids their parts."""
