"""What a run leaves in its folder: records, pictures, a page, a diagnosis."""
