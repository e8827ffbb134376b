"""Which dictionary finds the features of which world?"""
