"""The instruments with which the project measures itself: speed, promises, results, networks. No part of the wheel."""
