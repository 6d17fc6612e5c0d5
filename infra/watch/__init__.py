"""How others look in on us: metrics that are scraped, notices that are sent. Drivers; they know of no cloud."""
