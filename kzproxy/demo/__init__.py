"""The embedded default: demo identity provider, demo CA, sample policy and control plane."""
