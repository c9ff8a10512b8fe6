"""Reading Postfix's files, moving a Postfix to vmaild, and comparing the two."""
