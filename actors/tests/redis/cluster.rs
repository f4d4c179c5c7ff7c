//! A Cluster of three nodes.
