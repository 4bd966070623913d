"""A world with a known truth, and devices in it that publish over MQTT."""
