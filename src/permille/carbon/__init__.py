"""Carbon: grid intensity by region and year, PUE, equivalents; every figure has a source."""
