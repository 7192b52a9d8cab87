"""Every decision about an order. Pure: the object, the Session, and the time go in; no I/O, and no clock."""
