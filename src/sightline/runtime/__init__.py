"""The servers and processes of one machine: started, watched, kept to themselves, ended."""
