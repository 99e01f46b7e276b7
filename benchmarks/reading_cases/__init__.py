"""Folders of images as their publishers lay them out, drawn small, with what a right reading of each is."""
