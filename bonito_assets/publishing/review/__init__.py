"""The page on which a person looks at a release before anything is trained with it."""
