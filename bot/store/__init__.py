"""What is kept: tables, migrations, queries. The only SQL there is."""
