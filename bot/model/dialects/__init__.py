"""What is particular to each kind of model server: one file each, and how they are told apart."""
