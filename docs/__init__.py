"""The pages of the site and, in `tools/`, what builds it: nothing here is part of the package."""
