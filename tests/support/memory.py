CUTS=()
MemoryHarness=None
