"""An hour of customers at a fifth of what one core can do, with something breaking every few minutes.

The set-up is that of production: nginx, two workers, a reconciler, PostgreSQL and Redis. What is asked: is everything
that the load took given back when it ends, and was every payment told truly?
"""
