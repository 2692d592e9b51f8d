"""What makes the documentation: pages that are generated from the code, and hooks of the site's builder."""
