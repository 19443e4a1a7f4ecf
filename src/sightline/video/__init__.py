"""Video in and out: files, folders of pictures, cameras and addresses; MP4 that a browser plays.

    addresses.py  what a word on the command line means, and how it is shown (without its password)
    reading.py    frames of a file, a device or an address, by PyAV
    pictures.py   frames of a folder of pictures
    opening.py    the one door to both: a word -> frames
    writing.py    an MP4 file, by PyAV
    refusals.py   what is said of what is not read

Nothing else in the package knows PyAV. Import late: it takes 0.2 s.
"""
