"""The services that every server of the suite stands on."""
