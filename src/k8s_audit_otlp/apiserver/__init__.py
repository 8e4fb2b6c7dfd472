"""Set-up of the apiserver's audit log: its policy, its manifest, and what each platform wants."""
