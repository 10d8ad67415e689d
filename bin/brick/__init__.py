"""What cinderfs-brick adds to os-brick: locks of several directories, proof of removal, identity of a live device."""
