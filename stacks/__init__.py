"""What `cdk deploy` provisions: thin stacks, and one construct per component in `stacks.components`."""
