"""Programs beside the flow: doctor, explain, verify, demo."""
