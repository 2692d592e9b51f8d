"""build_image: builds the job's image while its stack is deployed."""
