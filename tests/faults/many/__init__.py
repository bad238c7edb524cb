"""Many payments at once on one running shop, each with a fault of Daraja's of its own, and the ledger as judge.

The rig breaks one thing while a few customers buy. Here nothing breaks but what one payment meets: its callback lost,
ten times at once, a day late; its push's answer lost; its queries lied to. So each payment is a run of its fault.
"""
