"""One campaign at the table: the scene, its cast, who speaks next, one turn from message to answer."""
