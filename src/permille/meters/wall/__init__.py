"""Wall meters: smart plugs, power distribution units, Redfish."""
