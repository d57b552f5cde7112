"""Carbon: grid intensity by place and year, PUE, equivalences; every figure with its source."""
