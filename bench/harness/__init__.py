"""What bench/run is made of: lab (namespaces, processes), contenders, measures, report."""
